//! The domain of the boundary tests: students enrol in courses that are full at some time.

use factum::{Event, Model, NameError, Selector};

#[derive(Debug, Clone, PartialEq, Event)]
pub(crate) enum CourseEvent {
    CourseOffered {
        #[event(tag)]
        course: String,
        seats: u32,
    },
    CourseRenamed {
        #[event(tag)]
        course: String,
        title: String,
    },
}

#[derive(Debug, Clone, PartialEq, Event)]
pub(crate) struct StudentEnrolled {
    #[event(tag)]
    pub(crate) course: String,
    #[event(tag)]
    pub(crate) student: String,
}

/// How many seats a course has.
#[derive(Debug, Clone)]
pub(crate) struct Capacity {
    pub(crate) course: String,
    pub(crate) seats: u32,
}

impl Model for Capacity {
    type Event = CourseEvent;

    fn scope(&self) -> Result<Selector, NameError> {
        Selector::tagged("course", &self.course)
    }

    fn apply(&mut self, event: &CourseEvent) {
        if let CourseEvent::CourseOffered { seats, .. } = event {
            self.seats = *seats;
        }
    }
}

/// How many enrolments have a tag: those in a course, or those of a student.
#[derive(Debug, Clone)]
pub(crate) struct Enrolments {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) count: u32,
}

impl Model for Enrolments {
    type Event = StudentEnrolled;

    fn scope(&self) -> Result<Selector, NameError> {
        Selector::tagged(self.key, &self.value)
    }

    fn apply(&mut self, _event: &StudentEnrolled) {
        self.count += 1;
    }
}

/// What an enrolment depends on: the course's seats, who is in the course, and what else the student attends.
pub(crate) fn enrolment(course: &str, student: &str) -> (Capacity, Enrolments, Enrolments) {
    let enrolments = |key, value: &str| Enrolments { key, value: value.to_owned(), count: 0 };
    (Capacity { course: course.to_owned(), seats: 0 }, enrolments("course", course), enrolments("student", student))
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the course is full")]
    Full,
    #[error("the student attends {0} courses already")]
    Busy(u32),
}

const COURSES_MAX: u32 = 2;

pub(crate) fn enrol(
    (capacity, in_course, of_student): &(Capacity, Enrolments, Enrolments),
) -> Result<Vec<StudentEnrolled>, Refused> {
    match () {
        () if capacity.seats <= in_course.count => Err(Refused::Full),
        () if COURSES_MAX <= of_student.count => Err(Refused::Busy(of_student.count)),
        () => Ok(vec![enrolled(&capacity.course, &of_student.value)]),
    }
}

pub(crate) fn offered(course: &str, seats: u32) -> CourseEvent {
    CourseEvent::CourseOffered { course: course.to_owned(), seats }
}

pub(crate) fn enrolled(course: &str, student: &str) -> StudentEnrolled {
    StudentEnrolled { course: course.to_owned(), student: student.to_owned() }
}
