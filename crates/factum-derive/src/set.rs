//! A set: an enum over several events, which is an event as each of them is.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Fields, Ident, Result, Type};

use crate::expand::{Bodies, implementation};
use crate::mistakes;

/// Whether `#[event(set)]` stands on the item.
pub(crate) fn is_set(attributes: &[Attribute]) -> bool {
    let mut is_set = false;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("event")) {
        // What is wrong with an attribute is told by whoever reads it for what it says.
        let _ = attribute.parse_nested_meta(|meta| {
            is_set |= meta.path.is_ident("set");
            Ok(())
        });
    }
    is_set
}

/// A variant, and the event that it holds.
struct Member {
    variant: Ident,
    event: Type,
}

/// The `Event` of a set.
pub(crate) fn event(input: DeriveInput) -> Result<TokenStream> {
    only_set(&input.attrs)?;
    let Data::Enum(data) = input.data else {
        return Err(Error::new(input.ident.span(), "a set of events is an enum, with a variant for each of them"));
    };
    let members = mistakes::all(data.variants.into_iter().map(|variant| {
        if let Some(attribute) = variant.attrs.iter().find(|attribute| attribute.path().is_ident("event")) {
            return Err(Error::new_spanned(attribute, "the events of a set say themselves how they are stored: remove this"));
        }
        match variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                Ok(Member { variant: variant.ident, event: fields.unnamed[0].ty.clone() })
            }
            _ => Err(Error::new(variant.ident.span(), "a variant of a set holds one event: write it as `Order(OrderEvent)`")),
        }
    }))?;
    Ok(expand(&input.ident, &members))
}

/// Refuses anything else beside it.
fn only_set(attributes: &[Attribute]) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("event")) {
        attribute.parse_nested_meta(|meta| match meta.path.is_ident("set") {
            true => Ok(()),
            false => Err(meta.error("a set stores nothing itself: `set` stands alone, and its events say the rest")),
        })?;
    }
    Ok(())
}

fn expand(set: &Ident, members: &[Member]) -> TokenStream {
    let events = members.iter().map(|member| &member.event);
    let each = |call: TokenStream| {
        let arms = members
            .iter()
            .map(|Member { variant, event }| quote!(#set::#variant(event) => <#event as ::factum::Event>::#call(event)));
        quote!(match self { #(#arms),* })
    };
    let decode = members.iter().map(|Member { variant, event }| {
        quote! {
            if <#event as ::factum::Event>::SHAPES.iter().any(|shape| shape.event_type == event_type) {
                let event = <#event as ::factum::Event>::decode(event_type, schema, payload)?;
                return ::core::result::Result::Ok(event.map(#set::#variant));
            }
        }
    });
    let bodies = Bodies {
        shape: each(quote!(shape)),
        tags: each(quote!(tags)),
        encode: each(quote!(encode)),
        decode: quote!(#(#decode)* ::core::result::Result::Ok(::core::option::Option::None)),
    };
    let implementation = implementation(set, &quote!(&__SHAPES), &bodies);
    quote! {
        const _: () = {
            const __SETS: &[&[::factum::Shape]] = &[#(<#events as ::factum::Event>::SHAPES),*];
            const __SHAPES: [::factum::Shape; ::factum::__private::count(__SETS)] = ::factum::__private::join(__SETS);
            #implementation
        };
    }
}
