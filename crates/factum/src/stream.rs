//! A stream: the ordered history of one thing.

use crate::name::name;

name! {
    /// The name of a stream: up to 1 KiB of text in any script, such as `account-42`.
    ///
    /// ```
    /// # use factum::StreamName;
    /// let stream: StreamName = "account-42".parse()?;
    /// assert_eq!(stream.category().as_str(), "account");
    /// # Ok::<(), factum::NameError>(())
    /// ```
    StreamName, "a stream name", 1024
}

impl StreamName {
    /// The streams of one kind that this one belongs to: the part before the first `-`, or all of the name where there is none.
    ///
    /// A name that begins with `-` is a category of its own.
    pub fn category(&self) -> Category {
        Category(self.0.slice_ref(Self::category_of(self)))
    }

    /// Whether the stream is the system's own: its name begins with `$`. What follows every event leaves these out.
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }

    /// The category in a text that is the name of a stream, as [`category`](Self::category) has it.
    pub fn category_of(name: &(impl AsRef<str> + ?Sized)) -> &str {
        let name = name.as_ref();
        &name[..name.find('-').filter(|&end| 0 < end).unwrap_or(name.len())]
    }
}

name! {
    /// The name of a category: streams of one kind.
    Category, "a category", StreamName::MAX_BYTES
}

name! {
    /// The name of one that consumes events and records how far it got: see [`Consumed`](crate::Consumed).
    ConsumerName, "a consumer name", 256
}

#[cfg(test)]
mod tests {
    use super::StreamName;

    #[track_caller]
    fn check_category(name: &str, category: &str) {
        assert_eq!(StreamName::new(name).unwrap().category().as_str(), category);
    }

    #[test]
    fn a_category_is_what_stands_before_the_first_hyphen() {
        check_category("order", "order");
        check_category("order-7-eu", "order");
        check_category("$settings", "$settings");
        check_category("-7", "-7");
        check_category("заказ-7", "заказ");
    }
}
