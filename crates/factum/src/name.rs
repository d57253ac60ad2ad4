//! Names: short texts with a limit, checked once and cheap to clone.

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no text at all.
    #[error("{what} is empty: give it at least one character")]
    Empty {
        /// What was to be named: "a stream name", say.
        what: &'static str,
    },
    /// The text is over the limit.
    #[error("{what} has {bytes} bytes, more than the {max} allowed: shorten it")]
    TooLong {
        /// What was to be named.
        what: &'static str,
        /// The length of the text, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The text would break a line, a terminal or a log.
    #[error("{what} has a control character at byte {at}: remove it")]
    ControlCharacter {
        /// What was to be named.
        what: &'static str,
        /// Where it stands, in bytes from the start of the text.
        at: usize,
    },
    /// The text is not of the form `key:value`.
    #[error("{tag:?} is no tag: write it as key:value, both of them present")]
    NotKeyValue {
        /// The text that was given.
        tag: String,
    },
}

/// Refuses what no name may be.
pub(crate) fn check(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if max < text.len() {
        return Err(NameError::TooLong { what, bytes: text.len(), max });
    }
    // Most names are checked when they are read back: a byte that no control character has settles it.
    let may_control = |byte: u8| byte < b' ' || byte == 0x7f || byte == 0xc2;
    if !text.bytes().any(may_control) {
        return Ok(());
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(NameError::ControlCharacter { what, at }),
        None => Ok(()),
    }
}

/// A name's type: a checked text, with what every text has.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        name!(@type $(#[$doc])* $name, $max);

        impl $name {
            /// Checks a name: some text, within [`Self::MAX_BYTES`], without control characters.
            ///
            /// # Errors
            /// [`NameError`](crate::NameError) says which of these fails.
            pub fn new(text: impl Into<bytestring::ByteString>) -> Result<Self, crate::NameError> {
                let text = text.into();
                crate::name::check($what, &text, Self::MAX_BYTES)?;
                Ok(Self(text))
            }
        }
    };
    (@type $(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(bytestring::ByteString);

        impl $name {
            /// The longest one, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = crate::NameError;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }
    };
}

pub(crate) use name;

#[cfg(test)]
mod tests {
    use super::{NameError, check};

    #[test]
    fn every_control_character_is_refused_where_it_stands() {
        for control in (0..=0x10ffff).filter_map(char::from_u32).filter(|c| c.is_control()) {
            let refused = NameError::ControlCharacter { what: "a name", at: 3 };
            assert_eq!(check("a name", &format!("aé{control}"), 10), Err(refused), "{control:?}");
        }
        assert_eq!(check("a name", "é © ¿ 日本", 100), Ok(()));
    }
}
