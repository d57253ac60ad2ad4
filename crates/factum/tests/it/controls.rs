//! Negative controls: broken stores, each of which the rule made for it must catch.

use std::time::Duration;

use factum::testing::ManualClock;
use factum::testing::store::model::{compare, operations};
use factum::testing::store::{Backend, RULES, verdict};

mod broken;
mod faults;
use broken::Broken;
use faults::Fault;

/// Makes stores with one fault, or with none.
struct With(Option<Fault>);

impl Backend for With {
    type Store = Broken;

    async fn create(&self, clock: ManualClock) -> Broken {
        Broken::new(self.0, clock)
    }

    async fn reopen(&self, store: Broken, clock: ManualClock) -> Option<Broken> {
        Some(store.reopened(clock).await)
    }

    fn patience(&self) -> Duration {
        // Some of the broken stores never do what is waited for.
        if self.0.is_some() { Duration::from_millis(400) } else { Duration::from_secs(30) }
    }
}

/// Runs one rule on the broken store and on the same store without its fault.
async fn check_caught(fault: Fault, rule: &str) {
    let caught = verdict(&With(Some(fault)), rule).await;
    let broken = caught.expect_err("the rule passes on the store that is broken for it");
    assert_eq!(broken.rule, rule);
    assert_eq!(verdict(&With(None), rule).await, Ok(()), "the rule fails on a store that is not broken");
}

/// A test for each fault, named after it, with the rule that must catch it.
macro_rules! controls {
    ($($name:ident: $fault:ident is caught by $rule:ident;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                check_caught(Fault::$fault, stringify!($rule)).await;
            }
        )+
    };
}

controls! {
    // Order.
    a_gap_that_fills_later: GapFillsLater is caught by readers_miss_nothing_while_writers_append;
    a_gap_behind_a_long_append: GapFillsLater is caught by long_appends_are_not_overtaken_by_short_ones;
    a_page_with_a_head_of_later: HeadReadLate is caught by readers_miss_nothing_while_writers_append;
    an_order_by_time: OrderByTime is caught by the_order_is_that_of_recording_whatever_the_events_say;
    a_time_that_goes_back: TimeGoesBack is caught by recorded_time_is_the_clocks_and_never_goes_back;
    a_hole_after_a_refusal: HoleAfterRefusal is caught by a_refused_append_takes_no_position_and_no_version;
    a_version_reused_after_a_refusal: VersionReused is caught by a_refused_append_takes_no_position_and_no_version;
    an_event_edited_later: EditedLater is caught by what_a_reader_saw_never_changes;

    // Expectations.
    a_first_event_unguarded: FirstUnguarded is caught by of_writers_that_create_one_stream_one_wins;
    a_version_checked_before_the_write: VersionCheckedEarly is caught by of_writers_that_race_for_one_version_one_wins;
    a_stream_expected_but_not_written: UnwrittenIgnored is caught by an_expectation_may_be_of_a_stream_that_is_not_written;
    a_skewed_write: UnwrittenIgnored is caught by writers_that_expect_each_others_streams_cannot_both_win;
    a_conflict_with_a_wrong_version: WrongActual is caught by each_expectation_holds_or_conflicts_as_it_says;
    a_loser_told_that_it_won: LosersToldStored is caught by of_writers_that_race_for_one_version_one_wins;

    // All or nothing.
    half_an_append_recorded: HalfRecorded is caught by an_append_to_several_streams_is_refused_whole;
    half_an_append_seen: HalfVisible is caught by no_reader_sees_half_an_append;

    // Conditions.
    a_condition_read_after_the_events: ConditionReadLate is caught by a_condition_looks_only_after_its_position;
    a_condition_checked_before_the_write: ConditionCheckedEarly is caught by of_writers_that_race_for_a_condition_one_wins;
    a_balance_checked_before_the_write: ConditionCheckedEarly is caught by two_guarded_balances_never_go_negative;
    a_condition_that_includes_its_position: ConditionInclusive is caught by a_condition_looks_only_after_its_position;
    a_conflict_at_the_first_event: ConflictAtFirst is caught by a_conflict_carries_the_position_of_the_last_selected_event;
    tags_lost_in_plain_appends: PlainTagsLost is caught by plain_appends_move_what_conditions_look_at;

    // Repeats.
    any_taken_for_no_check: AnyIsNoCheck is caught by a_repeat_is_answered_with_the_original_result;
    repeats_checked_before_the_write: RepeatsCheckedEarly is caught by an_append_sent_by_many_at_once_is_recorded_once;
    repeats_known_by_their_first_id: RepeatsByFirstId is caught by recorded_ids_in_another_shape_are_refused;

    // Consumers.
    a_mark_apart_from_its_events: MarkApart is caught by a_mark_is_recorded_with_its_events_or_not_at_all;
    a_mark_that_goes_back: MarkUnchecked is caught by a_mark_only_advances;

    // Limits.
    a_limit_of_events_ignored: EventsUnlimited is caught by an_append_at_the_limit_of_events_is_recorded_and_one_over_is_not;
    a_page_without_bound: PagesUnbounded is caught by a_page_is_bounded_in_bytes;
    a_limit_of_zero_taken_at_its_word: ZeroIsZero is caught by a_limit_out_of_bounds_is_taken_for_the_nearest;

    // Reads.
    an_event_forgotten_between_pages: ForgottenBetweenPages is caught by pages_of_every_size_add_up_to_the_whole;
    a_backward_read_off_by_one: BackwardOffByOne is caught by backward_is_forward_reversed;
    a_range_with_its_beginning: RangeInclusive is caught by a_range_begins_after_its_first_position_and_ends_with_its_last;
    an_event_returned_for_each_selector: OncePerSelector is caught by an_event_that_two_selectors_select_is_returned_once;
    streams_in_the_order_of_names: StreamsByName is caught by streams_stand_in_the_order_of_their_first_events;

    // What events carry.
    an_unknown_event_type_dropped: UnknownDropped is caught by unknown_event_types_and_schemas_are_carried;
    an_empty_header_dropped: EmptyHeadersDropped is caught by every_field_comes_back_as_it_was_given;
    a_time_of_milliseconds: MillisecondsOnly is caught by every_field_comes_back_as_it_was_given;
    tags_beyond_the_thirtieth_lost: ThirtyTags is caught by every_tag_finds_its_event;
    names_without_case: NamesFolded is caught by names_that_look_alike_are_different;

    // Subscriptions.
    a_change_missed_before_the_wait: ChangeMissed is caught by a_change_before_the_wait_ends_it;
    a_subscription_that_skips_at_the_hand_over: HandOverSkips is caught by a_subscription_goes_from_catching_up_to_following;
    one_waiter_woken: OneWoken is caught by an_append_ends_every_wait;

    // Restarts.
    ids_forgotten_at_a_restart: IdsForgotten is caught by repeats_are_known_after_a_restart;
    marks_forgotten_at_a_restart: MarksForgotten is caught by marks_survive_a_restart;
    times_forgotten_at_a_restart: TimesForgotten is caught by recorded_time_does_not_go_back_at_a_restart;
    a_tail_lost_at_a_restart: TailLost is caught by what_was_acknowledged_before_a_restart_is_there_after_it;
}

/// Faults that need no race are found by random operations too.
#[tokio::test]
async fn random_operations_find_what_is_broken() {
    const SEEDS: u64 = 60;
    for fault in [
        Fault::HoleAfterRefusal,
        Fault::VersionReused,
        Fault::FirstUnguarded,
        Fault::UnwrittenIgnored,
        Fault::WrongActual,
        Fault::HalfRecorded,
        Fault::ConditionReadLate,
        Fault::ConditionInclusive,
        Fault::ConflictAtFirst,
        Fault::PlainTagsLost,
        Fault::AnyIsNoCheck,
        Fault::RepeatsByFirstId,
        Fault::MarkApart,
        Fault::MarkUnchecked,
        Fault::BackwardOffByOne,
        Fault::ForgottenBetweenPages,
        Fault::StreamsByName,
        Fault::EmptyHeadersDropped,
        Fault::MillisecondsOnly,
        Fault::NamesFolded,
        Fault::TimeGoesBack,
        Fault::IdsForgotten,
        Fault::MarksForgotten,
    ] {
        let mut found = false;
        for seed in 0..SEEDS {
            found = found || compare(&With(Some(fault)), &operations(seed, 100)).await.is_err();
        }
        assert!(found, "{SEEDS} seeds do not find {fault:?}");
    }
}

#[test]
fn rules_have_different_names() {
    let mut names = RULES.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
}
