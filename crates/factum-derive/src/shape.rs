//! One kind of event: a variant, or a whole struct.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{Attribute, Error, Fields, Ident, Index, LitStr, Member, Result, Type};

use crate::attributes::{Attributes, Place};
use crate::mistakes;
use crate::stored_name::StoredName;
use crate::upcast::{self, Current, Upcast};

/// A kind of event: its name, its version, its fields, and how it was before.
pub(crate) struct Shape {
    pub(crate) ident: Ident,
    pub(crate) name: StoredName,
    pub(crate) version: u32,
    /// From schema 1 on, one for each schema before the current one.
    pub(crate) steps: Vec<Upcast>,
    /// Whether it has one field without a name, which is all of its data.
    pub(crate) is_inner: bool,
    pub(crate) fields: Vec<Field>,
}

/// A field, which is stored under its name.
pub(crate) struct Field {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    /// `#[serde(...)]`, as it is written.
    pub(crate) serde: Vec<Attribute>,
    /// The key of its tags, where it gives some.
    pub(crate) tag: Option<String>,
}

impl Shape {
    /// Reads a variant of `event`, or `event` where it is a struct.
    pub(crate) fn read(
        (ident, fields): (Ident, Fields),
        attributes: Attributes,
        prefix: Option<&LitStr>,
        event: &Ident,
    ) -> Result<Self> {
        let name = StoredName::new(attributes.name.as_ref(), prefix, &ident);
        let current = Current::new(attributes.version.as_ref(), attributes.version_span(ident.span()));
        let upcasts = attributes.upcasts.unwrap_or_default();
        let steps = current.and_then(|current| Ok((current, upcast::steps(upcasts, current, &ident, event)?)));
        let is_inner = matches!(fields, Fields::Unnamed(_)) && fields.len() == 1;
        let fields = read_fields(fields, &ident);

        let ((name, (current, steps)), fields) = mistakes::both(mistakes::both(name, steps), fields)?;
        Ok(Self { ident, name, version: current.version, steps, is_inner, fields })
    }
}

fn read_fields(fields: Fields, ident: &Ident) -> Result<Vec<Field>> {
    if matches!(fields, Fields::Unnamed(_)) && 1 < fields.len() {
        let message =
            format!("name the fields: `{ident} {{ first: ..., second: ... }}`; what is stored has a name for each value");
        return Err(Error::new_spanned(fields, message));
    }
    mistakes::all(fields.into_iter().enumerate().map(|(index, field)| Field::read(field, index)))
}

impl Field {
    fn read(field: syn::Field, index: usize) -> Result<Self> {
        let member = field.ident.map_or_else(|| Member::Unnamed(Index::from(index)), Member::Named);
        let tag = Attributes::read(&field.attrs, Place::Field)?.tag;
        let tag = tag.map(|tag| tag.key(&member)).transpose()?;
        let serde = field.attrs.into_iter().filter(|attribute| attribute.path().is_ident("serde")).collect();
        Ok(Self { member, ty: field.ty, serde, tag })
    }

    /// The field as a new type declares it.
    pub(crate) fn declaration(&self) -> TokenStream {
        let Self { member, ty, serde, .. } = self;
        match member {
            Member::Named(name) => quote!(#(#serde)* #name: #ty),
            Member::Unnamed(_) => quote!(#(#serde)* #ty),
        }
    }

    /// The field and a variable, as a pattern has them or an expression.
    pub(crate) fn pattern(&self) -> TokenStream {
        let (member, variable) = (&self.member, self.variable());
        quote!(#member: #variable)
    }

    /// A variable for its value.
    pub(crate) fn variable(&self) -> Ident {
        match &self.member {
            Member::Named(name) => format_ident!("__{}", name.unraw()),
            Member::Unnamed(_) => format_ident!("__inner"),
        }
    }
}
