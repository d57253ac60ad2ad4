//! The rules of enrolment, and the race for the last seat.

use std::sync::Arc;

use factum::testing::given_events;
use factum::{DecideError, Log};
use factum_enrolment::{Course, Enrolment, Refused, Student, enrol, enrol_on};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

fn defined(course: &str, capacity: u32) -> Enrolment {
    Enrolment::CourseDefined { course: course.to_owned(), capacity }
}

fn enrolled(student: &str, course: &str) -> Enrolment {
    Enrolment::StudentEnrolled { student: student.to_owned(), course: course.to_owned() }
}

fn ann_takes(course: &str) -> (Course, Student) {
    (Course::new(course), Student::new("ann"))
}

#[test]
fn a_course_is_defined_once() {
    given_events([] as [Enrolment; 0]).when(Course::new("c1"), |course| course.define(10)).then([defined("c1", 10)]);
    let refused = Refused::CourseExists("c1".to_owned());
    given_events([defined("c1", 10)]).when(Course::new("c1"), |course| course.define(15)).then_rejected(refused);
}

#[test]
fn a_capacity_changes_to_another_one_of_a_course_that_there_is() {
    let changed = Enrolment::CapacityChanged { course: "c1".to_owned(), capacity: 5 };
    given_events([defined("c1", 10)]).when(Course::new("c1"), |course| course.change_capacity(5)).then([changed]);
    let refused = Refused::SameCapacity("c1".to_owned());
    given_events([defined("c1", 10)]).when(Course::new("c1"), |course| course.change_capacity(10)).then_rejected(refused);
    let refused = Refused::NoCourse("c0".to_owned());
    given_events([defined("c1", 10)]).when(Course::new("c0"), |course| course.change_capacity(5)).then_rejected(refused);
}

#[test]
fn a_student_takes_a_course_that_there_is_once_and_where_there_is_a_seat() {
    given_events([defined("c1", 1)]).when(ann_takes("c1"), enrol).then([enrolled("ann", "c1")]);
    given_events([defined("c1", 1)]).when(ann_takes("c2"), enrol).then_rejected(Refused::NoCourse("c2".to_owned()));
    let again = Refused::EnrolledAlready { student: "ann".to_owned(), course: "c1".to_owned() };
    given_events([defined("c1", 9), enrolled("ann", "c1")]).when(ann_takes("c1"), enrol).then_rejected(again);
    let full = Refused::CourseFull("c1".to_owned());
    given_events([defined("c1", 1), enrolled("bob", "c1")]).when(ann_takes("c1"), enrol).then_rejected(full);
}

#[test]
fn a_student_takes_five_courses_and_no_sixth() {
    let taken = (1..=5).flat_map(|n| [defined(&format!("c{n}"), 9), enrolled("ann", &format!("c{n}"))]);
    let events: Vec<_> = taken.chain([defined("c6", 9)]).collect();
    given_events(events).when(ann_takes("c6"), enrol).then_rejected(Refused::TooManyCourses("ann".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_students_who_race_for_three_seats_three_get_one() {
    const STUDENTS: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(factum_embedded::open(folder.path()).unwrap());
    log.decide(Course::new("c1"), |course| course.define(3)).await.unwrap();
    let (begin, mut students) = (Arc::new(Barrier::new(STUDENTS)), JoinSet::new());
    for number in 0..STUDENTS {
        let (log, begin) = (log.clone(), begin.clone());
        students.spawn(async move {
            begin.wait().await;
            enrol_on(&log, "c1", &format!("s{number}")).await
        });
    }
    let outcomes = students.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    let full = |outcome: &&Result<(), _>| matches!(outcome, Err(DecideError::Rejected(Refused::CourseFull(_))));
    assert_eq!(outcomes.iter().filter(full).count(), STUDENTS - 3);
}
