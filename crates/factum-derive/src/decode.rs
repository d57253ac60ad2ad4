//! The code that reads an event back, from any schema.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::data;
use crate::item::Item;
use crate::shape::Field;

/// What `Event::decode` does.
pub(crate) fn decode(item: &Item, codec: &TokenStream) -> TokenStream {
    let arms = item.shapes.iter().enumerate().map(|(index, shape)| {
        let (name, version) = (&shape.name.text, shape.version);
        let current = current(item, codec, index);
        let old = (1u32..).zip(0..shape.steps.len()).map(|(schema, first)| {
            let upcast = upcast(item, codec, index, first);
            quote!(#schema => #upcast)
        });
        quote! {
            #name => match schema {
                #(#old,)*
                #version => #current,
                _ => return ::core::result::Result::Err(::factum::__private::unknown_schema(__SHAPES[#index], schema)),
            }
        }
    });
    quote! {
        ::core::result::Result::Ok(::core::option::Option::Some(match event_type {
            #(#arms,)*
            _ => return ::core::result::Result::Ok(::core::option::Option::None),
        }))
    }
}

/// The event of today's data.
fn current(item: &Item, codec: &TokenStream, index: usize) -> TokenStream {
    let shape = &item.shapes[index];
    let (reader, path) = (data::reader_name(index), item.path(shape));
    let fields: Vec<_> = shape.fields.iter().map(Field::pattern).collect();
    quote!({
        let #reader { #(#fields),* } = ::factum::__private::read::<#codec, _>(__SHAPES[#index], schema, payload)?;
        #path { #(#fields),* }
    })
}

/// The event of data of an old schema: read as its shape was, then a step at a time.
fn upcast(item: &Item, codec: &TokenStream, index: usize, first: usize) -> TokenStream {
    let shapes: Vec<_> = item.shapes[index].steps.iter().skip(first).map(|step| &step.shape).collect();
    let nexts = shapes.iter().skip(1).map(ToTokens::to_token_stream).chain([item.ident.to_token_stream()]);
    // A `Deserialize` or a `From` that is missing is told at the shape that lacks it.
    let reads = shapes.iter().take(1).map(
        |oldest| quote_spanned!(oldest.span()=> ::factum::__private::read::<#codec, #oldest>(__SHAPES[#index], schema, payload)?),
    );
    let steps = shapes
        .iter()
        .zip(nexts)
        .map(|(old, next)| quote_spanned!(old.span()=> let old = <#next as ::core::convert::From<#old>>::from(old);));
    quote!({
        let old = #(#reads)*;
        #(#steps)*
        old
    })
}
