//! The code that the derive writes.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Ident};

use crate::item::Item;
use crate::{data, decode, tag};

/// The `Event` of an item.
pub(crate) fn event(item: &Item) -> TokenStream {
    let codec = item.codec.as_ref().map_or_else(|| quote!(::factum::Json), ToTokens::to_token_stream);
    let shapes = item.shapes.iter().map(|shape| {
        let (name, version) = (&shape.name.text, shape.version);
        quote!(::factum::Shape { event_type: #name, schema: #version })
    });
    let (writer, readers) = (data::writer(item), data::readers(item));
    let bodies = Bodies {
        shape: shape(item),
        tags: tag::tags(item),
        encode: quote!(::factum::__private::write::<#codec>(<Self as ::factum::Event>::shape(self), &__Data(self))),
        decode: decode::decode(item, &codec),
    };
    let implementation = implementation(&item.ident, &quote!(__SHAPES), &bodies);
    quote! {
        const _: () = {
            const __SHAPES: &[::factum::Shape] = &[#(#shapes),*];
            #writer
            #readers
            #implementation
        };
    }
}

/// The mistakes, and an `Event` that never runs: else each use of the type would be told that it is no event.
pub(crate) fn mistaken(event: &Ident, mistakes: &Error) -> TokenStream {
    let mistakes = mistakes.to_compile_error();
    let never = || quote!(::core::unreachable!());
    let bodies = Bodies { shape: never(), tags: never(), encode: never(), decode: never() };
    let implementation = implementation(event, &quote!(&[]), &bodies);
    quote!(#mistakes #implementation)
}

/// What the functions of an `Event` do.
pub(crate) struct Bodies {
    pub(crate) shape: TokenStream,
    pub(crate) tags: TokenStream,
    pub(crate) encode: TokenStream,
    pub(crate) decode: TokenStream,
}

/// The `Event` of a type.
pub(crate) fn implementation(event: &Ident, shapes: &TokenStream, bodies: &Bodies) -> TokenStream {
    let Bodies { shape, tags, encode, decode } = bodies;
    quote! {
        #[automatically_derived]
        impl ::factum::Event for #event {
            const SHAPES: &'static [::factum::Shape] = #shapes;

            fn shape(&self) -> ::factum::Shape {
                #shape
            }

            fn tags(&self) -> ::core::result::Result<::std::vec::Vec<::factum::Tag>, ::factum::NameError> {
                #tags
            }

            fn encode(&self) -> ::core::result::Result<::factum::Payload, ::factum::CodecError> {
                #encode
            }

            fn decode(
                event_type: &str,
                schema: u32,
                payload: &::factum::Payload,
            ) -> ::core::result::Result<::core::option::Option<Self>, ::factum::CodecError> {
                #decode
            }
        }
    }
}

fn shape(item: &Item) -> TokenStream {
    let arms = item.shapes.iter().enumerate().map(|(index, shape)| {
        let path = item.path(shape);
        quote!(#path { .. } => __SHAPES[#index])
    });
    quote!(match self { #(#arms),* })
}
