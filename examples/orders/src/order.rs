//! An order: what may happen to it, and when it may not.

use factum::{Aggregate, Event};

/// What happens to an order.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Order")]
pub enum OrderEvent {
    /// A customer wants something.
    Placed {
        /// What it costs.
        cents: u64,
    },
    /// The money is here.
    Paid,
    /// It is on its way.
    Shipped,
    /// It will not be.
    Cancelled,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is no such order.
    #[error("there is no such order")]
    NoOrder,
    /// It was placed before.
    #[error("it is placed already")]
    Placed,
    /// It is paid for.
    #[error("it is paid for already")]
    Paid,
    /// It is not paid for.
    #[error("it is not paid for")]
    NotPaid,
    /// It is shipped or cancelled.
    #[error("it is over")]
    Over,
}

/// An order, as far as its decisions need to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// There is none.
    #[default]
    None,
    /// It waits for its money.
    Placed,
    /// It waits to be shipped.
    Paid,
    /// It is shipped or cancelled.
    Over,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        *self = match event {
            OrderEvent::Placed { .. } => Self::Placed,
            OrderEvent::Paid => Self::Paid,
            OrderEvent::Shipped | OrderEvent::Cancelled => Self::Over,
        };
    }
}

impl Order {
    /// A customer wants something.
    ///
    /// # Errors
    /// [`Refused::Placed`] where the order is there.
    pub fn place(&self, cents: u64) -> Result<Vec<OrderEvent>, Refused> {
        match self {
            Self::None => Ok(vec![OrderEvent::Placed { cents }]),
            _ => Err(Refused::Placed),
        }
    }

    /// The money is here.
    ///
    /// # Errors
    /// [`Refused`] where nothing is to be paid.
    pub fn pay(&self) -> Result<Vec<OrderEvent>, Refused> {
        match self {
            Self::None => Err(Refused::NoOrder),
            Self::Placed => Ok(vec![OrderEvent::Paid]),
            Self::Paid => Err(Refused::Paid),
            Self::Over => Err(Refused::Over),
        }
    }

    /// It goes on its way.
    ///
    /// # Errors
    /// [`Refused`] where it is not paid for, or over.
    pub fn ship(&self) -> Result<Vec<OrderEvent>, Refused> {
        match self {
            Self::None => Err(Refused::NoOrder),
            Self::Placed => Err(Refused::NotPaid),
            Self::Paid => Ok(vec![OrderEvent::Shipped]),
            Self::Over => Err(Refused::Over),
        }
    }

    /// It will not be shipped.
    ///
    /// # Errors
    /// [`Refused`] where it is paid for, or over.
    pub fn cancel(&self) -> Result<Vec<OrderEvent>, Refused> {
        match self {
            Self::None => Err(Refused::NoOrder),
            Self::Placed => Ok(vec![OrderEvent::Cancelled]),
            Self::Paid => Err(Refused::Paid),
            Self::Over => Err(Refused::Over),
        }
    }
}
