//! A tag: `key:value` on an event, for queries and boundaries.

use bytestring::ByteString;

use crate::name::{self, NameError, name};

name! {
    @type
    /// `key:value`, up to 256 bytes of it, such as `course:c1`. The key ends at the first colon; both parts have text.
    Tag, 256
}

impl Tag {
    /// Checks a tag written as `key:value`.
    ///
    /// # Errors
    /// [`NameError`] where it is empty, too long, without a key or a value, or has a control character.
    pub fn new(text: impl Into<ByteString>) -> Result<Self, NameError> {
        let text = text.into();
        name::check("a tag", &text, Self::MAX_BYTES)?;
        match text.split_once(':') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok(Self(text)),
            _ => Err(NameError::NotKeyValue { tag: text.to_string() }),
        }
    }

    /// The tag of a key, which has no colon, and a value.
    ///
    /// # Errors
    /// As [`Tag::new`].
    pub fn of(key: &str, value: impl std::fmt::Display) -> Result<Self, NameError> {
        Self::new(format!("{key}:{value}"))
    }

    /// The part before the first colon.
    pub fn key(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(key, _)| key)
    }

    /// The part after the first colon.
    pub fn value(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::Tag;

    #[test]
    fn a_tag_has_a_key_and_a_value() {
        let tag = Tag::new("at:12:30").unwrap();
        assert_eq!((tag.key(), tag.value()), ("at", "12:30"));
        for refused in ["", "course", ":c1", "course:", "course:\n", &format!("k:{}", "v".repeat(255))] {
            assert!(Tag::new(refused).is_err(), "{refused:?}");
        }
    }
}
