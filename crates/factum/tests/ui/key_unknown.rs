//! Keys that are not known where they stand.

use factum::Event;

#[derive(Event)]
#[event(name = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Event)]
enum CourseEvent {
    #[event(prefix = "Course")]
    Added {
        #[event(personal)]
        teacher: String,
    },
    Removed {
        #[event(personal)]
        by: String,
    },
}

#[derive(Event)]
#[event(serde::rename = "Ended")]
struct Ended;

fn main() {}
