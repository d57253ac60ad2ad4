//! The CloudEvents of an input, one a line.

use factum::{NewEvent, StreamName};
use factum_http::cloud_event::{self, CloudEventError, EXAMPLE};

use crate::exit::Failure;
use crate::input::Lines;

/// Reads the event of the next line; none at the end.
///
/// It goes to the line's `subject`; where it has none, to `stream`. A line is refused where there are both and they differ.
pub(crate) fn next(lines: &mut Lines, stream: Option<&StreamName>) -> Result<Option<NewEvent>, Failure> {
    let Some(line) = lines.next()? else { return Ok(None) };
    cloud_event::read(&line, stream).map(Some).map_err(|error| Failure::from(error).context(lines.place()))
}

impl From<CloudEventError> for Failure {
    fn from(error: CloudEventError) -> Self {
        let failure = Self::failed(error.to_string());
        match error {
            CloudEventError::OtherStream { subject, stream } => {
                let message = format!("`subject` is {subject}, and not the stream {stream} that the command names");
                Self::failed(message).hint("leave STREAM out to append each line to its own `subject`")
            }
            CloudEventError::NotAnObject(_) => failure.hint(format!("write one CloudEvent a line, such as {EXAMPLE}")),
            CloudEventError::Missing(_) => failure.hint(format!("write a CloudEvent, such as {EXAMPLE}")),
            CloudEventError::NoStream => failure.hint("give each line a `subject`, or append with `factum append STREAM`"),
            _ => failure,
        }
    }
}
