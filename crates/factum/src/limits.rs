//! What bounds an append and a read: each limit is one number, and each refusal names it.

/// The most bytes of data in an event: 16 MiB.
pub const EVENT_BYTES_MAX: usize = 16 << 20;
/// The most bytes of text in an event's metadata: 64 KiB.
pub const METADATA_BYTES_MAX: usize = 64 << 10;
/// The most tags on an event.
pub const TAGS_MAX: usize = 64;
/// The most events in an append.
pub const APPEND_EVENTS_MAX: usize = 10_000;
/// The most bytes of data and metadata in an append: 64 MiB.
pub const APPEND_BYTES_MAX: usize = 64 << 20;
/// The most streams that an append has expectations of.
pub const EXPECTATIONS_MAX: usize = 10_000;
/// The most selectors in a query.
pub const SELECTORS_MAX: usize = 1_000;
/// The most event types, or tags, in a selector.
pub const SELECTOR_TERMS_MAX: usize = 100;
/// The most events in a page; a read that asks for more gets this many at a time.
pub const PAGE_EVENTS_MAX: usize = 10_000;
/// After this many bytes of data and metadata a page is full, with at least one event: 4 MiB. It bounds what a slow reader costs.
pub const PAGE_BYTES: usize = 4 << 20;

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {actual}, more than the {max} allowed")]
#[non_exhaustive]
pub struct LimitError {
    /// What was counted, with its unit.
    pub what: &'static str,
    /// How much there was.
    pub actual: usize,
    /// How much there may be.
    pub max: usize,
}

/// Refuses more than `max`.
pub(crate) fn check(what: &'static str, actual: usize, max: usize) -> Result<(), LimitError> {
    if max < actual { Err(LimitError { what, actual, max }) } else { Ok(()) }
}
