//! The list of rules: their names are the sentences that a store keeps.

use std::pin::Pin;
use std::time::Duration;

use super::bench::{Bench, caught};
use super::{
    Broken, atomic, clocks, conditions, consumers, expected, limits, names, order, payloads, queries, reads, repeats, restarts,
    schedules, streams, subscriptions,
};

/// The longest that a rule may take: far more than any needs, so that a store that hangs fails and does not hang its tests.
const RULE_TIME: Duration = Duration::from_secs(300);

/// A rule, with the code that checks it.
pub(super) struct Rule {
    name: &'static str,
    run: for<'a> fn(&'a Bench<'a>) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

/// The rule of this name.
pub(super) fn find(name: &str) -> Option<&'static Rule> {
    ALL.iter().find(|rule| rule.name == name)
}

impl Rule {
    /// Checks the rule; a panic in it is what it saw.
    pub(super) async fn verdict(&self, bench: &Bench<'_>) -> Result<(), Broken> {
        let outcome = tokio::time::timeout(RULE_TIME, caught((self.run)(bench))).await;
        outcome.unwrap_or_else(|_| Err(format!("not done within {RULE_TIME:?}"))).map_err(|saw| Broken { rule: self.name, saw })
    }
}

/// Makes the list, the names, and the macro that has a test for each: from one place, so that none is forgotten in another.
macro_rules! rules {
    ($dollar:tt $($subject:ident { $($rule:ident)+ })+) => {
        const ALL: &[Rule] = &[$($(Rule { name: stringify!($rule), run: |bench| Box::pin($subject::$rule(bench)) },)+)+];

        /// The names of all rules.
        pub const RULES: &[&str] = &[$($(stringify!($rule),)+)+];

        /// A test for each rule of [`testing::store`](crate::testing::store), on a [`Backend`](crate::testing::store::Backend).
        ///
        /// The crate that calls it needs `tokio` with the features `macros` and `rt-multi-thread`.
        #[macro_export]
        macro_rules! store_contract {
            ($dollar backend:expr) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                    async fn $rule() {
                        $dollar crate::testing::store::check_rule(&$dollar backend, stringify!($rule)).await;
                    }
                )+)+
            };
        }
    };
}

rules! { $
    order {
        a_new_store_is_empty
        positions_and_versions_begin_at_one_and_have_no_gaps
        a_refused_append_takes_no_position_and_no_version
        events_keep_their_order_within_an_append
        the_order_is_that_of_recording_whatever_the_events_say
        an_append_without_events_only_checks
    }
    expected {
        each_expectation_holds_or_conflicts_as_it_says
        an_expectation_may_be_of_a_stream_that_is_not_written
        the_first_expectation_that_fails_is_reported
        of_writers_that_race_for_one_version_one_wins
        of_writers_that_create_one_stream_one_wins
        writers_that_expect_each_others_streams_cannot_both_win
    }
    atomic {
        an_append_to_several_streams_is_refused_whole
        no_reader_sees_half_an_append
        an_append_whose_caller_left_is_there_whole_or_not_at_all
    }
    conditions {
        a_condition_looks_only_after_its_position
        a_conflict_carries_the_position_of_the_last_selected_event
        a_condition_that_selects_nothing_passes
        a_condition_selects_as_a_read_does
        of_writers_that_race_for_a_condition_one_wins
        plain_appends_move_what_conditions_look_at
        two_guarded_balances_never_go_negative
    }
    repeats {
        a_repeat_is_answered_with_the_original_result
        a_repeat_changes_nothing
        what_is_recorded_next_to_each_other_is_a_repeat
        recorded_ids_in_another_shape_are_refused
        a_taken_id_is_told_before_a_conflict
        an_id_twice_in_an_append_is_invalid
        an_append_sent_by_many_at_once_is_recorded_once
    }
    consumers {
        a_consumer_begins_at_the_start
        a_mark_only_advances
        a_mark_is_recorded_with_its_events_or_not_at_all
        a_repeat_is_answered_though_its_mark_is_there
        of_racers_for_one_mark_one_wins
    }
    limits {
        an_append_at_the_limit_of_events_is_recorded_and_one_over_is_not
        an_append_at_the_limit_of_bytes_is_recorded_and_one_over_is_not
        data_at_its_limit_is_recorded_and_one_over_is_not
        metadata_at_its_limit_is_recorded_and_one_over_is_not
        tags_at_their_limit_are_recorded_and_one_over_is_not
        expectations_at_their_limit_are_checked_and_one_over_is_not
        a_query_at_its_limits_is_answered_and_one_over_is_not
        two_expectations_of_one_stream_are_refused
    }
    reads {
        backward_is_forward_reversed
        pages_of_every_size_add_up_to_the_whole
        a_range_begins_after_its_first_position_and_ends_with_its_last
        the_rest_of_a_read_goes_on_while_the_head_moves
        a_page_tells_how_far_it_looked
        a_page_is_bounded_in_bytes
        a_limit_out_of_bounds_is_taken_for_the_nearest
    }
    queries {
        a_query_selects_what_its_selectors_say
        an_event_that_two_selectors_select_is_returned_once
        a_query_for_nothing_finds_nothing
        versions_of_a_stream_are_a_range_of_it
        events_are_found_by_id_conversation_and_cause
    }
    streams {
        streams_stand_in_the_order_of_their_first_events
        streams_are_found_by_category_and_prefix
        pages_of_streams_add_up_to_the_whole
    }
    payloads {
        every_field_comes_back_as_it_was_given
        any_bytes_come_back_as_they_were_given
        the_largest_payload_comes_back
        unknown_event_types_and_schemas_are_carried
        every_tag_finds_its_event
        a_tag_given_twice_is_harmless
    }
    names {
        names_come_back_in_every_script
        names_that_look_alike_are_different
        names_are_never_patterns
    }
    subscriptions {
        a_subscription_begins_anywhere
        a_subscription_goes_from_catching_up_to_following
        a_change_before_the_wait_ends_it
        an_append_ends_every_wait
        a_subscription_skips_what_its_query_does_not_select
        a_subscription_dropped_while_waiting_loses_nothing
        a_subscription_ends_on_its_token
        a_batch_is_bounded
    }
    clocks {
        recorded_time_is_the_clocks_and_never_goes_back
    }
    schedules {
        readers_miss_nothing_while_writers_append
        long_appends_are_not_overtaken_by_short_ones
        what_a_reader_saw_never_changes
    }
    restarts {
        a_restart_changes_nothing_that_was_read
        appends_go_on_after_a_restart
        expectations_and_conditions_hold_after_a_restart
        repeats_are_known_after_a_restart
        marks_survive_a_restart
        recorded_time_does_not_go_back_at_a_restart
        subscribers_go_on_over_a_restart
        what_was_acknowledged_before_a_restart_is_there_after_it
    }
}
