//! Course enrolment: a course has room for so many students, and a student takes at most five courses.
//!
//! Neither rule is one of a single stream. A decision reads what it is about, by tags, and is recorded unless something that it
//! would have read has happened since: so two students race for the last seat of one course, and for no other.

use factum::{DecideError, Event, Log, Model, NameError, Selector};

/// The most courses of a student.
pub const COURSES_MAX: u32 = 5;

/// What happens.
#[derive(Debug, Clone, PartialEq, Event)]
pub enum Enrolment {
    /// A course is offered.
    CourseDefined {
        /// Which one.
        #[event(tag)]
        course: String,
        /// For how many students.
        capacity: u32,
    },
    /// It is moved to another room.
    CapacityChanged {
        /// Which one.
        #[event(tag)]
        course: String,
        /// For how many students.
        capacity: u32,
    },
    /// A student takes a course.
    StudentEnrolled {
        /// Which student.
        #[event(tag)]
        student: String,
        /// Which course.
        #[event(tag)]
        course: String,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is one of that name.
    #[error("course {0} is there already")]
    CourseExists(String),
    /// There is none of that name.
    #[error("there is no course {0}")]
    NoCourse(String),
    /// It has that capacity.
    #[error("course {0} has that capacity already")]
    SameCapacity(String),
    /// Every seat is taken.
    #[error("course {0} is full")]
    CourseFull(String),
    /// The student takes it.
    #[error("student {student} takes course {course} already")]
    EnrolledAlready {
        /// The student.
        student: String,
        /// The course.
        course: String,
    },
    /// The student takes as many as one may.
    #[error("student {0} takes {COURSES_MAX} courses already")]
    TooManyCourses(String),
}

/// A course: its capacity, if there is one, and how many students take it.
#[derive(Debug)]
pub struct Course {
    name: String,
    capacity: Option<u32>,
    students: u32,
}

impl Course {
    /// Before anything happened.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), capacity: None, students: 0 }
    }
}

impl Model for Course {
    type Event = Enrolment;

    fn scope(&self) -> Result<Selector, NameError> {
        Selector::tagged("course", &self.name)
    }

    fn apply(&mut self, event: &Enrolment) {
        match event {
            Enrolment::CourseDefined { capacity, .. } | Enrolment::CapacityChanged { capacity, .. } => {
                self.capacity = Some(*capacity);
            }
            Enrolment::StudentEnrolled { .. } => self.students += 1,
        }
    }
}

/// A student: the courses that they take.
#[derive(Debug)]
pub struct Student {
    name: String,
    courses: Vec<String>,
}

impl Student {
    /// Before anything happened.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), courses: Vec::new() }
    }
}

impl Model for Student {
    type Event = Enrolment;

    fn scope(&self) -> Result<Selector, NameError> {
        Selector::tagged("student", &self.name)
    }

    fn apply(&mut self, event: &Enrolment) {
        if let Enrolment::StudentEnrolled { course, .. } = event {
            self.courses.push(course.clone());
        }
    }
}

impl Course {
    /// Offers it.
    ///
    /// # Errors
    /// [`Refused::CourseExists`]
    pub fn define(&self, capacity: u32) -> Result<Vec<Enrolment>, Refused> {
        match self.capacity {
            Some(_) => Err(Refused::CourseExists(self.name.clone())),
            None => Ok(vec![Enrolment::CourseDefined { course: self.name.clone(), capacity }]),
        }
    }

    /// Changes its capacity. Those who take it stay, where it is now smaller than they are many.
    ///
    /// # Errors
    /// [`Refused::NoCourse`] and [`Refused::SameCapacity`]
    pub fn change_capacity(&self, capacity: u32) -> Result<Vec<Enrolment>, Refused> {
        match self.capacity {
            None => Err(Refused::NoCourse(self.name.clone())),
            Some(same) if same == capacity => Err(Refused::SameCapacity(self.name.clone())),
            Some(_) => Ok(vec![Enrolment::CapacityChanged { course: self.name.clone(), capacity }]),
        }
    }
}

/// A student takes a course.
///
/// # Errors
/// [`Refused`] says why not.
pub fn enrol((course, student): &(Course, Student)) -> Result<Vec<Enrolment>, Refused> {
    let capacity = course.capacity.ok_or_else(|| Refused::NoCourse(course.name.clone()))?;
    if student.courses.contains(&course.name) {
        return Err(Refused::EnrolledAlready { student: student.name.clone(), course: course.name.clone() });
    }
    if capacity <= course.students {
        return Err(Refused::CourseFull(course.name.clone()));
    }
    if COURSES_MAX as usize <= student.courses.len() {
        return Err(Refused::TooManyCourses(student.name.clone()));
    }
    Ok(vec![Enrolment::StudentEnrolled { student: student.name.clone(), course: course.name.clone() }])
}

/// Enrols a student on a log.
///
/// # Errors
/// [`DecideError::Rejected`] with the rule that is in the way; or why it could not be decided or recorded.
pub async fn enrol_on(log: &Log, course: &str, student: &str) -> Result<(), DecideError<Refused>> {
    log.decide((Course::new(course), Student::new(student)), enrol).await.map(drop)
}
