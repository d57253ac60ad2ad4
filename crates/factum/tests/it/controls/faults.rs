//! The faults: each one that a real store has had, or could.

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Some appends take their positions and become visible later, after others that took theirs in between.
    GapFillsLater,
    /// A page tells the head of a moment after it was read.
    HeadReadLate,
    /// Events stand in the order in which they say they happened.
    OrderByTime,
    /// The time of an event is what the clock said, even where it went back.
    TimeGoesBack,
    /// A refused append uses up a position, which shows at the next one.
    HoleAfterRefusal,
    /// After a refused append the next event of its stream has the version of the last.
    VersionReused,
    /// An event changes once others follow.
    EditedLater,
    /// That a stream does not exist yet is not checked.
    FirstUnguarded,
    /// Expectations are checked first, and the write comes later.
    VersionCheckedEarly,
    /// Only expectations of streams that are written are checked.
    UnwrittenIgnored,
    /// A conflict tells a version that the stream is not at.
    WrongActual,
    /// A conflict is swallowed: do nothing, and say that it is done.
    LosersToldStored,
    /// Of an append that is refused, the first event is recorded.
    HalfRecorded,
    /// The events of an append are recorded one by one.
    HalfVisible,
    /// A condition looks only at what is recorded after its own check.
    ConditionReadLate,
    /// The condition is checked first, and the write comes later.
    ConditionCheckedEarly,
    /// A condition looks at its own position too.
    ConditionInclusive,
    /// A conflict tells the first position that it may be, and not the last.
    ConflictAtFirst,
    /// Appends without a condition do not write their tags.
    PlainTagsLost,
    /// An append without expectations is always new.
    AnyIsNoCheck,
    /// Repeats are looked for first, and the write comes later.
    RepeatsCheckedEarly,
    /// An append is a repeat if its first event is recorded.
    RepeatsByFirstId,
    /// The mark is recorded on its own, before the events.
    MarkApart,
    /// A mark is never refused.
    MarkUnchecked,
    /// A large append is recorded in two.
    EventsUnlimited,
    /// A page has all of the events, however large they are.
    PagesUnbounded,
    /// A page of at most zero events has none.
    ZeroIsZero,
    /// The rest of a read begins one event too late.
    ForgottenBetweenPages,
    /// Backward reads begin before the last event.
    BackwardOffByOne,
    /// A range includes the position that it begins after.
    RangeInclusive,
    /// An event is returned for each selector that selects it.
    OncePerSelector,
    /// Streams stand in the order of their names.
    StreamsByName,
    /// Events of strange types are left out.
    UnknownDropped,
    /// Headers without a value are left out.
    EmptyHeadersDropped,
    /// Event time is kept in milliseconds.
    MillisecondsOnly,
    /// An event has no more than thirty tags.
    ThirtyTags,
    /// Stream names are the same in upper and lower case.
    NamesFolded,
    /// A wait ends at the next append only, whatever came before it.
    ChangeMissed,
    /// After a wait, reading begins with the last event, not with the one that was waited for.
    HandOverSkips,
    /// An append ends one wait.
    OneWoken,
    /// After a restart no id is known.
    IdsForgotten,
    /// After a restart no mark is known.
    MarksForgotten,
    /// After a restart events have the time of the restart.
    TimesForgotten,
    /// After a restart the last event is gone.
    TailLost,
}
