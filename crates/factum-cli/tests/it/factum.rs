//! A folder with a store in it, and the binary that is run on it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of a test's own.
pub(crate) struct Folder {
    temp: TempDir,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { temp: TempDir::new().unwrap() }
    }

    /// The path of a file in it; the store is `store`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Writes a file, and says where.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The binary with arguments, on the folder's store, in an environment without what it looks at.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
        for variable in ["FORMAT", "COLOR", "QUIET", "VERBOSE", "STORE", "LOG"] {
            command.env_remove(format!("FACTUM_{variable}"));
        }
        command.env_remove("NO_COLOR").env("FACTUM_DIR", self.path("store")).current_dir(self.temp.path());
        command.args(arguments);
        command
    }

    /// Runs it to its end with something on stdin.
    pub(crate) fn feed(&self, arguments: &[&str], stdin: impl AsRef<[u8]>) -> Ended {
        end(self.command(arguments), stdin.as_ref())
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.feed(arguments, "")
    }

    /// What it prints when all is well.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).ok()
    }

    /// Records an event, and says its id.
    #[track_caller]
    pub(crate) fn append(&self, stream: &str, event_type: &str, more: &[&str]) -> String {
        let arguments = [&["append", stream, "--type", event_type, "--data", "{}"], more].concat();
        self.run(&arguments).values()[0]["id"].as_str().unwrap().to_owned()
    }

    /// Starts it, with pipes on all sides.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        piped(self.command(arguments)).spawn().unwrap()
    }
}

impl Ended {
    /// What was printed, if all is well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// The JSON values that were printed, one a line, if all is well.
    #[track_caller]
    pub(crate) fn values(self) -> Vec<Value> {
        values(&self.ok())
    }

    /// Checks that it failed with an exit code, printed no data, and said these things.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, said: &[&str]) -> Self {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        for text in said {
            assert!(self.stderr.contains(text), "no {text:?} in {self:?}");
        }
        self
    }
}

/// The JSON values of a text, one a line.
#[track_caller]
pub(crate) fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// One member of each value.
pub(crate) fn member(values: &[Value], name: &str) -> Vec<Value> {
    values.iter().map(|value| value[name].clone()).collect()
}

/// Runs a command to its end.
pub(crate) fn end(command: Command, stdin: &[u8]) -> Ended {
    let mut child = piped(command).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // Beside the reading, so that neither waits for the other; a command that does not read to the end closes the pipe.
    let feeder = std::thread::spawn(move || drop(input.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn piped(mut command: Command) -> Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The next line of something that is still running.
pub(crate) fn next_line(reader: &mut BufReader<impl Read>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

/// The stdout of something that is still running.
pub(crate) fn stdout(child: &mut Child) -> BufReader<ChildStdout> {
    BufReader::new(child.stdout.take().unwrap())
}

/// The files in a folder, with their contents.
pub(crate) fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}
