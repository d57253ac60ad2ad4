//! What a process does that is told what to do, a line at a time.

use std::io::{BufRead, Write};

use anyhow::Result;

use crate::command::{Command, Reply, Sample};

/// What a line of an answer begins with; a system may print other lines.
pub(crate) const ANSWER: &str = "@answer ";

/// Reads commands and writes answers; the first answer says how opening went.
///
/// # Errors
/// Where the measuring process is gone. Failures of the system are answers.
pub(crate) fn converse<T>(opened: Result<(T, Sample)>, mut obey: impl FnMut(&mut T, &Command) -> Result<Reply>) -> Result<()> {
    let mut system = match opened {
        Ok((system, sample)) => {
            answer(&Reply::Sample(sample))?;
            system
        }
        Err(error) => return answer(&Reply::Failed(format!("{error:#}"))),
    };
    for line in std::io::stdin().lock().lines() {
        let command = serde_json::from_str(&line?)?;
        let last = matches!(command, Command::Close);
        answer(&obey(&mut system, &command).unwrap_or_else(|error| Reply::Failed(format!("{error:#}"))))?;
        if last {
            break;
        }
    }
    Ok(())
}

fn answer(reply: &Reply) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{ANSWER}{}", serde_json::to_string(reply)?)?;
    Ok(stdout.flush()?)
}
