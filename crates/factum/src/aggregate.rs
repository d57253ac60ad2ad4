//! An aggregate: what the events of one stream add up to.

use std::fmt::Display;

use crate::{CodecError, Event, NameError, RecordedEvent, StreamName, Tag};

/// A state that the events of one stream add up to; [`Default`] is the state before the first of them.
///
/// The stream of the aggregate with id `42` in category `account` is `account-42`, and each of its events carries the tag
/// `account:42`, so that boundaries can select it.
///
/// A category is a name without `-`, which ends it in a stream's name, and without `:`, which ends it in a tag. Anything else
/// does not compile where a [`Repository`](crate::Repository) uses it:
/// ```compile_fail
/// # use factum::{Aggregate, Event, Log, MemoryStore};
/// # #[derive(Event)]
/// # struct BankAccountOpened { cents: u64 }
/// # #[derive(Clone, Default)]
/// # struct Account;
/// impl Aggregate for Account {
///     const CATEGORY: &'static str = "bank-account"; // its streams would be in the category `bank`
///     # type Id = String;
///     # type Event = BankAccountOpened;
///     # fn apply(&mut self, _event: &BankAccountOpened) {}
/// }
/// let stream = factum::Repository::<Account>::stream(&"42".to_owned());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "no stream of events adds up to this type",
    note = "implement `factum::Aggregate` for it: the category of its streams, its id, its events, and how it applies each"
)]
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// The category of the streams: the part of their names before the first `-`.
    const CATEGORY: &'static str;

    /// What tells one from another; written as [`Display`] writes it.
    type Id: Display + Clone + Send + Sync + 'static;

    /// What happens to it.
    type Event: Event;

    /// Takes in an event. It cannot refuse: the event has already happened.
    fn apply(&mut self, event: &Self::Event);

    /// Takes in an event of the stream that [`Self::Event`] has no variant for: one of a newer program, or one decided by a
    /// boundary. It changes nothing unless this is written.
    fn apply_unknown(&mut self, _event: &RecordedEvent) {}
}

/// The stream of an aggregate.
pub(crate) fn stream<A: Aggregate>(id: &A::Id) -> Result<StreamName, NameError> {
    const {
        assert!(
            is_category(A::CATEGORY),
            "Aggregate::CATEGORY must be some text, short, without `-`, `:` and control characters"
        );
    }
    StreamName::new(format!("{}-{id}", A::CATEGORY))
}

/// The tag of each event of the aggregate that has this stream.
pub(crate) fn tag<A: Aggregate>(stream: &StreamName) -> Result<Tag, NameError> {
    let id = stream.as_str().strip_prefix(A::CATEGORY).and_then(|rest| rest.strip_prefix('-'));
    Tag::of(A::CATEGORY, id.unwrap_or_default())
}

/// Takes a stored event in.
pub(crate) fn apply<A: Aggregate>(state: &mut A, event: &RecordedEvent) -> Result<(), CodecError> {
    match event.decode::<A::Event>()? {
        Some(known) => state.apply(&known),
        None => state.apply_unknown(event),
    }
    Ok(())
}

/// Half of a tag's bytes, so that the other half is left for the id.
const CATEGORY_BYTES_MAX: usize = Tag::MAX_BYTES / 2;

const fn is_category(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let second_of_control = 0 < at && bytes[at - 1] == 0xC2 && bytes[at] < 0xA0;
        if bytes[at] == b'-' || bytes[at] == b':' || bytes[at].is_ascii_control() || second_of_control {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes.len() <= CATEGORY_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::is_category;

    #[test]
    fn a_category_is_a_name_that_ends_at_neither_a_hyphen_nor_a_colon() {
        for category in ["account", "bank_account", "счёт", "Â", "$settings", &"c".repeat(128)] {
            assert!(is_category(category), "{category:?}");
        }
        for refused in ["", "bank-account", "bank:account", "a\n", "a\u{7f}", "a\u{85}", &"c".repeat(129)] {
            assert!(!is_category(refused), "{refused:?}");
        }
    }
}
