//! Input: a file or stdin, as a whole or line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use factum::limits::EVENT_BYTES_MAX;

use crate::exit::Failure;

/// The longest line: an event in Base64, and as much again for the rest of it.
const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX * 2;

/// Opens a file, or stdin for `-`, with its length in bytes where there is one.
pub(crate) fn open(path: &Path) -> Result<(Box<dyn BufRead>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|error| Failure::file(path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::failed(format!("{} is a folder: name a file in it", path.display())));
    }
    Ok((Box::new(BufReader::with_capacity(1 << 16, file)), metadata.is_file().then_some(metadata.len())))
}

/// How messages call a file.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

/// The value of a flag that takes text, `@FILE`, or `-` for stdin.
pub(crate) fn argument(value: &str) -> Result<String, Failure> {
    let path = match value.strip_prefix('@') {
        _ if value == "-" => Path::new("-"),
        Some(file) => Path::new(file),
        None => return Ok(value.to_owned()),
    };
    let mut bytes = Vec::new();
    let most = LINE_BYTES_MAX as u64 + 1;
    open(path)?.0.take(most).read_to_end(&mut bytes).map_err(|error| Failure::file(path, &error))?;
    if LINE_BYTES_MAX < bytes.len() {
        return Err(Failure::failed(format!("{} has more than {LINE_BYTES_MAX} bytes", name(path))));
    }
    utf8(bytes).map_err(|failure| failure.context(name(path)))
}

/// The bytes as text.
fn utf8(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        Failure::failed(format!("byte {at} is not UTF-8")).hint("convert the input to UTF-8 first, with iconv say")
    })
}

/// The lines of an input, counted from 1; blank ones are left out.
pub(crate) struct Lines {
    input: Box<dyn BufRead>,
    name: String,
    number: u64,
    bytes: u64,
}

impl Lines {
    /// The lines of an opened input, which messages call `name`.
    pub(crate) fn new(input: Box<dyn BufRead>, name: String) -> Self {
        Self { input, name, number: 0, bytes: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the last line stands, as messages say it.
    pub(crate) fn place(&self) -> String {
        format!("{}, line {}", self.name, self.number)
    }

    /// The next line with something on it.
    pub(crate) fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            let mut line = Vec::new();
            let most = LINE_BYTES_MAX as u64 + 1;
            self.number += 1;
            let read = self.input.by_ref().take(most).read_until(b'\n', &mut line);
            let bytes = read.map_err(|error| Failure::failed(format!("{}: {error}", self.place())))?;
            self.bytes += bytes as u64;
            if bytes == 0 {
                return Ok(None);
            }
            if LINE_BYTES_MAX < bytes {
                return Err(Failure::failed(format!("{}: more than {LINE_BYTES_MAX} bytes", self.place())));
            }
            let line = utf8(line).map_err(|failure| failure.context(self.place()))?;
            if !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
    }
}
