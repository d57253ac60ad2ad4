//! A disk in memory that does what disks do on a bad day.
//!
//! [`SimulatedDisk`] keeps what programs wrote apart from what is durable, and logs every operation on it. From the log it
//! makes the [`CrashStates`]: what a power loss after any of the operations could leave, with writes lost, torn at sectors and
//! reordered, lengths and names kept or lost on their own. A [`Fault`] makes an operation fail, as real disks do.
//! All of it follows from seeds: the same operations and the same seed give the same states.

mod crash;
mod disk;
mod faults;
mod image;
mod landed;
mod operation;
mod random;
mod unsynced;

pub use crash::{CrashState, CrashStates};
pub use disk::{HeldSyncs, SimulatedDisk};
pub use faults::Fault;
pub use image::Image;
pub use landed::Landed;
pub use random::Random;

#[cfg(test)]
mod tests;
