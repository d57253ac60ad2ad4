//! What `#[event(...)]` says, wherever it stands.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, LitInt, LitStr, Path, Result, Token, parenthesized};

use crate::tag::TagAttribute;
use crate::upcast::Upcast;

/// What is written at one place; what may be written there is the place's to say.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) prefix: Option<LitStr>,
    pub(crate) codec: Option<Path>,
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) upcasts: Option<Vec<Upcast>>,
    pub(crate) tag: Option<TagAttribute>,
}

/// Where an attribute stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Enum,
    Struct,
    Variant,
    Field,
}

impl Attributes {
    /// Reads the attributes of one place.
    pub(crate) fn read(attributes: &[Attribute], place: Place) -> Result<Self> {
        let mut read = Self::default();
        for attribute in attributes {
            if attribute.path().is_ident("event") {
                attribute.parse_nested_meta(|meta| read.key(place, &meta))?;
            } else if attribute.path().is_ident("serde") && place != Place::Field {
                return Err(Error::new_spanned(
                    attribute,
                    "`#[serde(...)]` belongs to the fields of an event: move it to them; \
                     what is stored has the name and the version that `#[event(...)]` gives",
                ));
            }
        }
        Ok(read)
    }

    fn key(&mut self, place: Place, meta: &ParseNestedMeta<'_>) -> Result<()> {
        use Place::{Enum, Field, Struct, Variant};
        let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match (key.as_str(), place) {
            ("prefix", Enum) => once(&mut self.prefix, meta, |meta| meta.value()?.parse()),
            ("codec", Enum | Struct) => once(&mut self.codec, meta, |meta| meta.value()?.parse()),
            ("name", Struct | Variant) => once(&mut self.name, meta, |meta| meta.value()?.parse()),
            ("version", Struct | Variant) => once(&mut self.version, meta, |meta| meta.value()?.parse()),
            ("upcast", Struct | Variant) => once(&mut self.upcasts, meta, upcasts),
            ("tag", Field) => once(&mut self.tag, meta, TagAttribute::read),
            _ => Err(meta.error(format!("unknown key: {}", place.keys()))),
        }
    }

    /// Where the schema's version is said; the place of `otherwise` where it is not.
    pub(crate) fn version_span(&self, otherwise: Span) -> Span {
        self.version.as_ref().map_or(otherwise, LitInt::span)
    }
}

impl Place {
    /// The keys that are known here.
    fn keys(self) -> &'static str {
        match self {
            Self::Enum => "on an enum, `#[event(...)]` takes `prefix = \"...\"` and `codec = ...`, or `set` alone",
            Self::Struct => {
                "on a struct, `#[event(...)]` takes `name = \"...\"`, `version = ...`, `upcast(... = ...)` and `codec = ...`"
            }
            Self::Variant => "on a variant, `#[event(...)]` takes `name = \"...\"`, `version = ...` and `upcast(... = ...)`",
            Self::Field => "on a field, `#[event(...)]` takes `tag` and `tag = \"...\"`",
        }
    }
}

fn once<T>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>, read: impl FnOnce(&ParseNestedMeta<'_>) -> Result<T>) -> Result<()> {
    if slot.is_some() {
        return Err(meta.error("this key is there already: keep one of the two"));
    }
    *slot = Some(read(meta)?);
    Ok(())
}

fn upcasts(meta: &ParseNestedMeta<'_>) -> Result<Vec<Upcast>> {
    let content;
    parenthesized!(content in meta.input);
    Ok(Punctuated::<Upcast, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}
