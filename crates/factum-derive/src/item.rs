//! The item that the derive stands on.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Error, Generics, Ident, Path, Result};

use crate::attributes::{Attributes, Place};
use crate::mistakes;
use crate::shape::Shape;

/// An event: an enum of shapes, or a struct that is one.
pub(crate) struct Item {
    pub(crate) ident: Ident,
    pub(crate) codec: Option<Path>,
    pub(crate) is_enum: bool,
    pub(crate) shapes: Vec<Shape>,
}

impl Item {
    /// Reads and checks an item that is not generic.
    pub(crate) fn read(input: DeriveInput) -> Result<Self> {
        let ident = input.ident;
        let item = match input.data {
            Data::Enum(data) => {
                let Attributes { prefix, codec, .. } = Attributes::read(&input.attrs, Place::Enum)?;
                let shapes = mistakes::all(data.variants.into_iter().map(|variant| {
                    let attributes = Attributes::read(&variant.attrs, Place::Variant)?;
                    Shape::read((variant.ident, variant.fields), attributes, prefix.as_ref(), &ident)
                }))?;
                Self { ident, codec, is_enum: true, shapes }
            }
            Data::Struct(data) => {
                let mut attributes = Attributes::read(&input.attrs, Place::Struct)?;
                let codec = attributes.codec.take();
                let shape = Shape::read((ident.clone(), data.fields), attributes, None, &ident)?;
                Self { ident, codec, is_enum: false, shapes: vec![shape] }
            }
            Data::Union(_) => return Err(Error::new(ident.span(), "a union is no event: make it an enum")),
        };
        item.check()?;
        Ok(item)
    }

    /// How a shape is matched and made.
    pub(crate) fn path(&self, shape: &Shape) -> TokenStream {
        let (event, shape) = (&self.ident, &shape.ident);
        if self.is_enum { quote!(#event::#shape) } else { quote!(#event) }
    }

    fn check(&self) -> Result<()> {
        if self.shapes.is_empty() {
            return Err(Error::new(self.ident.span(), "an event without variants cannot happen: give it one"));
        }
        let pairs = self
            .shapes
            .iter()
            .enumerate()
            .flat_map(|(index, second)| self.shapes.iter().take(index).map(move |first| (first, second)));
        mistakes::all(pairs.flat_map(|(first, second)| [one_name(first, second), one_source(first, second)]))?;
        Ok(())
    }
}

/// Refuses parameters of the item.
pub(crate) fn not_generic(generics: &Generics) -> Result<()> {
    if generics.params.is_empty() && generics.where_clause.is_none() {
        return Ok(());
    }
    let message = "an event has no type parameters, lifetimes or constants: what is stored has one shape; name its types";
    Err(Error::new_spanned(generics, message))
}

/// Refuses a name that two variants have: what is stored under it could be either.
fn one_name(first: &Shape, second: &Shape) -> Result<()> {
    if first.name.text != second.name.text {
        return Ok(());
    }
    let message = format!(
        "`{}` and `{}` are both stored as `{}`: give one of them another name, `#[event(name = \"...\")]`",
        first.ident, second.ident, first.name.text
    );
    Err(Error::new(second.name.span, message))
}

/// Refuses an old shape that two variants end with: its one `From` makes one of them.
fn one_source(first: &Shape, second: &Shape) -> Result<()> {
    let (Some(a), Some(b)) = (first.steps.last(), second.steps.last()) else { return Ok(()) };
    let source = b.shape.to_token_stream().to_string();
    if a.shape.to_token_stream().to_string() != source {
        return Ok(());
    }
    let message = format!(
        "`{}` and `{}` are both upcast from `{source}`, whose `From` makes one of them: give each an old shape of its own",
        first.ident, second.ident
    );
    Err(Error::new_spanned(&b.shape, message))
}
