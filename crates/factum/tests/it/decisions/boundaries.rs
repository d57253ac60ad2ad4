//! Decisions on a boundary: what is read, applied and guarded is one query.

use std::convert::Infallible;

use factum::limits::SELECTOR_TERMS_MAX;
use factum::{
    AggregateModel, Append, CodecError, DecideError, Draft, Event, LoadError, Log, MemoryStore, Metadata, Model, NameError,
    NewEvent, Payload, Position, Query, Read, RecordedEvent, Selector, Shape, Tag,
};

use super::account::{Account, InsufficientFunds, deposited, id};
use super::courses::{Capacity, CourseEvent, Enrolments, Refused, StudentEnrolled, enrol, enrolled, enrolment, offered};
use super::stubborn::{Stubborn, foreign};

async fn facts(log: &Log, events: impl IntoIterator<Item: Into<Draft>>) {
    let drafts: Vec<Draft> = events.into_iter().map(Into::into).collect();
    let mut drafts = Some(drafts);
    log.decide((), |()| Ok::<_, Infallible>(drafts.take().unwrap())).await.unwrap();
}

async fn recorded(log: &Log) -> Vec<RecordedEvent> {
    log.read(Read::new(Query::all())).next().await.unwrap().unwrap().events
}

/// A draft as another writer would record it.
async fn as_recorded(event: impl Into<Draft>) -> NewEvent {
    let log = Log::new(MemoryStore::new());
    facts(&log, [event.into()]).await;
    let RecordedEvent { id, stream, event_type, schema, tags, metadata, payload, .. } = recorded(&log).await.remove(0);
    NewEvent { id, stream, event_type, schema, tags, metadata, payload }
}

#[tokio::test]
async fn a_decision_sees_all_that_its_models_select() {
    let log = Log::new(MemoryStore::new());
    facts(&log, [offered("c1", 2), offered("c2", 9)]).await;
    facts(&log, [enrolled("c1", "ann"), enrolled("c2", "bob"), enrolled("c2", "ann")]).await;
    let loaded = log.load(enrolment("c1", "ann")).await.unwrap();
    let (capacity, in_course, of_student) = loaded.models;
    assert_eq!((capacity.seats, in_course.count, of_student.count), (2, 1, 2), "each event once, by the models that select it");
    assert_eq!(loaded.position, Position::new(5));
    let refused = log.decide(enrolment("c1", "ann"), enrol).await.unwrap_err();
    assert!(matches!(refused, DecideError::Rejected(Refused::Busy(2))));
    let appended = log.decide(enrolment("c1", "bob"), enrol).await.unwrap().unwrap();
    assert_eq!(appended.positions.through, Position::new(6));
    let refused = log.decide(enrolment("c1", "eve"), enrol).await.unwrap_err();
    assert!(matches!(refused, DecideError::Rejected(Refused::Full)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racers_for_the_last_seats_never_overbook() {
    let store = Stubborn::default();
    let log = Log::new(store.clone());
    facts(&log, [offered("c1", 3)]).await;
    store.meet_after_reading(8);
    let enrol_one = |student: usize| {
        let log = log.clone();
        tokio::spawn(async move { log.decide(enrolment("c1", &student.to_string()), enrol).await.is_ok() })
    };
    let racers: Vec<_> = (0..8).map(enrol_one).collect();
    let mut enrolled = 0;
    for racer in racers {
        enrolled += u32::from(racer.await.unwrap());
    }
    assert_eq!((enrolled, log.load(enrolment("c1", "0")).await.unwrap().models.1.count), (3, 3));
}

#[tokio::test]
async fn only_what_the_models_select_is_in_the_way() {
    let store = Stubborn::default();
    let log = Log::new(store.clone());
    facts(&log, [offered("c1", 3)]).await;
    let before = store.appends().len();
    store.before_appends([as_recorded(enrolled("c2", "bob")).await]);
    log.decide(enrolment("c1", "ann"), enrol).await.unwrap();
    assert_eq!(store.appends().len() - before, 1, "another course and another student: no conflict");
    store.before_appends([as_recorded(enrolled("c1", "bob")).await]);
    log.decide(enrolment("c1", "eve"), enrol).await.unwrap();
    assert_eq!(store.appends().len() - before, 1 + 2, "the same course: decided again");
}

#[tokio::test]
async fn what_comes_while_pages_are_read_is_found_by_the_condition() {
    let store = Stubborn::default();
    let log = Log::new(store.clone());
    let many = Read::USUAL_LIMIT + 10;
    facts(&log, (0..many).map(|student| enrolled("c1", &student.to_string()))).await;
    let in_course = Enrolments { key: "course", value: "c1".to_owned(), count: 0 };
    store.after_reads([as_recorded(enrolled("c1", "late")).await]);
    let mut seen = Vec::new();
    let close = |in_course: &Enrolments| {
        seen.push(in_course.count as usize);
        Ok::<_, Infallible>([offered("c1", 0)])
    };
    log.decide(in_course, close).await.unwrap();
    assert_eq!(seen, [many, many + 1], "first the state at one position, then what came since, each once");
}

#[tokio::test]
async fn a_decision_can_have_events_of_several_types_in_several_streams_in_order() {
    let log = Log::new(MemoryStore::new());
    let account = AggregateModel::<Account>::new(id("42"));
    let appended = log
        .decide((account, enrolment("c1", "ann")), |(account, _)| {
            Ok::<_, Infallible>([
                Draft::from(offered("c1", 1)),
                account.draft(&deposited(7)),
                enrolled("c1", "ann").into(),
                Draft::of::<Account>(&id("43"), &deposited(8)).metadata(Metadata::default().actor("bob")),
                Draft::from(offered("c1", 2)).to("catalogue".parse().unwrap()),
            ])
        })
        .await
        .unwrap()
        .unwrap();
    let events = recorded(&log).await;
    let places: Vec<_> = events.iter().map(|event| (event.event_type.as_str(), event.stream.as_str())).collect();
    let expected = [
        ("CourseOffered", "course-c1"),
        ("AccountDeposited", "account-42"),
        ("StudentEnrolled", "course-c1"),
        ("AccountDeposited", "account-43"),
        ("CourseOffered", "catalogue"),
    ];
    assert_eq!(places, expected);
    assert_eq!((appended.positions.through, appended.versions.len()), (Position::new(5), 4));
    assert_eq!(events[1].tags, [Tag::new("account:42").unwrap()]);
    assert_eq!(events[3].metadata.actor.as_deref(), Some("bob"));
}

#[tokio::test]
async fn an_event_without_a_tag_or_a_stream_is_refused_with_advice() {
    #[derive(Event)]
    struct Lost {}
    let log = Log::new(MemoryStore::new());
    let error = log.decide(enrolment("c1", "ann"), |_| Ok::<_, Infallible>([Lost {}])).await.unwrap_err();
    assert!(matches!(error, DecideError::NoStream { event_type: "Lost" }), "{error:?}");
    assert!(error.to_string().contains("tag it"), "{error}");
    assert!(recorded(&log).await.is_empty());
}

#[tokio::test]
async fn a_value_that_makes_no_tag_is_refused() {
    let log = Log::new(MemoryStore::new());
    let error = log.decide(enrolment("", "ann"), enrol).await.unwrap_err();
    assert!(matches!(error, DecideError::Name(NameError::NotKeyValue { .. })), "{error:?}");
    assert!(matches!(log.load(enrolment("", "ann")).await.unwrap_err(), LoadError::Name(_)));
    let error = log.decide((), |()| Ok::<_, Infallible>([enrolled("c1", "")])).await.unwrap_err();
    assert!(matches!(error, DecideError::Name(NameError::NotKeyValue { .. })), "{error:?}");
}

#[tokio::test]
async fn a_decision_that_there_is_nothing_to_do_appends_nothing() {
    let log = Log::new(MemoryStore::new());
    let appended = log.decide(enrolment("c1", "ann"), |_| Ok::<_, Infallible>(Vec::<StudentEnrolled>::new())).await.unwrap();
    assert_eq!((appended, log.head().await.unwrap()), (None, Position::START));
}

#[tokio::test]
async fn as_many_models_as_a_command_needs_are_one_boundary() {
    let log = Log::new(MemoryStore::new());
    facts(&log, [offered("c1", 1), offered("c2", 2), offered("c3", 3)]).await;
    let courses: Vec<_> = ["c1", "c3"].map(|course| Capacity { course: course.to_owned(), seats: 0 }).into();
    let loaded = log.load((courses, enrolment("c2", "ann"))).await.unwrap();
    let (courses, (capacity, ..)) = &loaded.models;
    assert_eq!((courses[0].seats, courses[1].seats, capacity.seats), (1, 3, 2));
}

#[tokio::test]
async fn an_aggregate_in_a_boundary_is_guarded_as_a_whole_stream() {
    let store = Stubborn::default();
    let log = Log::new(store.clone());
    let accounts = log.repository::<Account>();
    store.before_appends([foreign("account-1", "AccountFrozen", "{}")]);
    let mut seen = Vec::new();
    let deposit = |account: &AggregateModel<Account>| {
        seen.push(account.state.unknown);
        Ok::<_, InsufficientFunds>([account.draft(&deposited(5))])
    };
    log.decide(accounts.model(&id("1")), deposit).await.unwrap();
    assert_eq!(seen, [0, 1], "events of unknown types are in the way too");
    assert_eq!(accounts.load(&id("1")).await.unwrap().state.cents, 5);
}

#[tokio::test]
async fn a_scope_that_names_event_types_selects_only_those() {
    struct Offers(u32);
    impl Model for Offers {
        type Event = CourseEvent;
        fn scope(&self) -> Result<Selector, NameError> {
            Ok(Selector::tagged("course", "c1")?.event_type("CourseOffered".parse()?))
        }
        fn apply(&mut self, _event: &CourseEvent) {
            self.0 += 1;
        }
    }
    let log = Log::new(MemoryStore::new());
    let renamed = CourseEvent::CourseRenamed { course: "c1".to_owned(), title: "Knots".to_owned() };
    facts(&log, [offered("c1", 1), renamed]).await;
    assert_eq!(log.load(Offers(0)).await.unwrap().models.0, 1);
}

#[tokio::test]
async fn an_event_type_of_more_shapes_than_a_selector_has_terms_is_selected() {
    struct Wide;
    impl Event for Wide {
        const SHAPES: &'static [Shape] = {
            let mut shapes = [Shape { event_type: "Other", schema: 1 }; 2 * SELECTOR_TERMS_MAX + 1];
            shapes[2 * SELECTOR_TERMS_MAX].event_type = "Wide";
            &{ shapes }
        };
        fn shape(&self) -> Shape {
            Shape { event_type: "Wide", schema: 1 }
        }
        fn tags(&self) -> Result<Vec<Tag>, NameError> {
            Ok(vec![Tag::new("wide:1")?])
        }
        fn encode(&self) -> Result<Payload, CodecError> {
            Ok(Payload::json("{}"))
        }
        fn decode(event_type: &str, _schema: u32, _payload: &Payload) -> Result<Option<Self>, CodecError> {
            Ok((event_type == "Wide").then_some(Wide))
        }
    }
    struct Count(u32);
    impl Model for Count {
        type Event = Wide;
        fn scope(&self) -> Result<Selector, NameError> {
            Selector::tagged("wide", 1)
        }
        fn apply(&mut self, _event: &Wide) {
            self.0 += 1;
        }
    }
    let log = Log::new(MemoryStore::new());
    facts(&log, [Wide, Wide]).await;
    assert_eq!(log.load(Count(0)).await.unwrap().models.0, 2);
}

#[tokio::test]
async fn an_event_that_a_model_cannot_read_stops_with_its_reason() {
    let log = Log::new(MemoryStore::new());
    let mut event = foreign("course-c1", "CourseOffered", r#"{"course":"c1","seats":"many"}"#);
    event.tags = vec![Tag::new("course:c1").unwrap()];
    log.append(Append::new(vec![event])).await.unwrap();
    let error = log.decide(enrolment("c1", "ann"), enrol).await.unwrap_err();
    assert!(matches!(error, DecideError::Codec(CodecError::Decode { .. })), "{error:?}");
}
