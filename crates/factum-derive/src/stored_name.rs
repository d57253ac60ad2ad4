//! The name that an event is stored under.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Error, Ident, LitStr, Result};

/// The most bytes of a name: `factum::EventType::MAX_BYTES`, which a test of `factum` compares.
const BYTES_MAX: usize = 256;

/// A name that `factum::EventType` takes.
pub(crate) struct StoredName {
    pub(crate) text: String,
    /// Where it comes from.
    pub(crate) span: Span,
}

impl StoredName {
    /// The name that is written; else the prefix and the identifier.
    pub(crate) fn new(name: Option<&LitStr>, prefix: Option<&LitStr>, ident: &Ident) -> Result<Self> {
        let prefixed = || format!("{}{}", prefix.map(LitStr::value).unwrap_or_default(), ident.unraw());
        let (text, span) = name.map_or_else(|| (prefixed(), ident.span()), |name| (name.value(), name.span()));
        match mistake(&text) {
            Some(mistake) => Err(Error::new(span, mistake)),
            None => Ok(Self { text, span }),
        }
    }
}

fn mistake(text: &str) -> Option<String> {
    if text.is_empty() {
        Some("the stored name is empty: give it at least one character".to_owned())
    } else if BYTES_MAX < text.len() {
        Some(format!("the stored name has {} bytes, more than the {BYTES_MAX} allowed: shorten it", text.len()))
    } else if text.contains(char::is_control) {
        Some(format!("the stored name {text:?} has a control character: remove it"))
    } else {
        None
    }
}
