//! Instances in trouble: an input that cannot be handled is set aside, with the later ones of its instance. Nobody else waits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    EventId, Log, NameError, NewEvent, Payload, Position, Query, Read, RecordedEvent, Scope, Selector, StoreError, StreamName,
    Version, Versions,
};

/// What happens to them; stored as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum TroubleEvent {
    /// An input is set aside; the error is empty where it only waits behind another.
    SetAside { instance: String, position: u64, error: String },
    /// It is asked that an instance goes on.
    Released { instance: String },
    /// An input that was set aside is handled.
    Handled { instance: String, position: u64 },
}

impl TroubleEvent {
    pub(crate) fn to_new_event(&self, stream: &StreamName, id: EventId) -> Result<NewEvent, NameError> {
        let event_type = match self {
            Self::SetAside { .. } => "$ProcessInputSetAside",
            Self::Released { .. } => "$ProcessInstanceReleased",
            Self::Handled { .. } => "$ProcessInputHandled",
        };
        let data = serde_json::to_vec(self).expect("texts and numbers are JSON");
        Ok(NewEvent { id, ..NewEvent::new(stream.clone(), event_type, Payload::json(data))? })
    }
}

/// An instance in trouble.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Troubled {
    /// What is wrong, the last time that it was tried.
    pub error: String,
    /// Its inputs that are set aside, in their order.
    pub inputs: Vec<Position>,
    /// Whether it is asked that it goes on.
    pub released: bool,
}

/// All instances in trouble, by stream; or by that of the input, where nothing more is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Troubles {
    pub(crate) stream: StreamName,
    pub(crate) version: Version,
    pub(crate) instances: BTreeMap<String, Troubled>,
}

impl Troubles {
    pub(crate) async fn load(log: &Log, stream: StreamName) -> Result<Self, StoreError> {
        let mut troubles = Self { stream, version: Version::EMPTY, instances: BTreeMap::new() };
        troubles.read_on(log).await?;
        Ok(troubles)
    }

    pub(crate) async fn read_on(&mut self, log: &Log) -> Result<(), StoreError> {
        let versions = Versions { after: self.version, through: Version::MAX };
        let mut pages = log.read(Read::new(Query::from(Selector::from(Scope::Stream(self.stream.clone(), versions)))));
        while let Some(page) = pages.next().await? {
            page.events.iter().for_each(|event| self.apply(event));
        }
        Ok(())
    }

    fn apply(&mut self, recorded: &RecordedEvent) {
        self.version = recorded.version;
        match serde_json::from_slice(&recorded.payload.data) {
            Ok(TroubleEvent::SetAside { instance, position, error }) => {
                let troubled = self.instances.entry(instance).or_default();
                let position = Position::new(position);
                if !troubled.inputs.contains(&position) {
                    troubled.inputs.push(position);
                }
                if !error.is_empty() {
                    troubled.error = error;
                    troubled.released = false;
                }
            }
            Ok(TroubleEvent::Released { instance }) => {
                if let Some(troubled) = self.instances.get_mut(&instance) {
                    troubled.released = true;
                }
            }
            Ok(TroubleEvent::Handled { instance, position }) => {
                if let Some(troubled) = self.instances.get_mut(&instance) {
                    troubled.inputs.retain(|input| input.get() != position);
                    if troubled.inputs.is_empty() {
                        self.instances.remove(&instance);
                    }
                }
            }
            Err(_unknown) => {}
        }
    }

    /// The first input of an instance that is asked to go on.
    pub(crate) fn next_released(&self) -> Option<(String, Position)> {
        let released = self.instances.iter().find(|(_, troubled)| troubled.released);
        released.and_then(|(instance, troubled)| Some((instance.clone(), *troubled.inputs.first()?)))
    }
}
