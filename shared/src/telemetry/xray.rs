//! Trace contexts in the header of AWS X-Ray, which Lambda and SQS hand on.
//!
//! # Source
//! AWS X-Ray Developer Guide, "Tracing header"; Amazon SQS API Reference, `AWSTraceHeader`.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Reads `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
pub(super) fn parse(header: &str) -> Option<SpanContext> {
    let part = |name: &str| {
        let parts = header.split(';').filter_map(|part| part.trim().split_once('='));
        parts.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    };
    let (seconds, random) = part("Root")?.strip_prefix("1-")?.split_once('-')?;
    let parent = part("Parent")?;
    if (seconds.len(), random.len(), parent.len()) != (8, 24, 16) {
        return None;
    }
    let trace_id = TraceId::from_hex(&format!("{seconds}{random}")).ok()?;
    let span_id = SpanId::from_hex(parent).ok()?;
    let flags = TraceFlags::default().with_sampled(part("Sampled") == Some("1"));
    let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// The header that [`parse`] reads the context from; nothing where there is no trace.
pub(super) fn header(context: &SpanContext) -> Option<String> {
    context.is_valid().then(|| {
        let trace_id = context.trace_id().to_string();
        let (seconds, random) = trace_id.split_at(8);
        let sampled = u8::from(context.is_sampled());
        format!("Root=1-{seconds}-{random};Parent={};Sampled={sampled}", context.span_id())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

    #[test]
    fn a_header_is_read_back_as_it_is_written() {
        let context = parse(HEADER).unwrap();
        assert_eq!(context.trace_id().to_string(), "5759e988bd862e3fe1be46a994272793");
        assert_eq!(context.span_id().to_string(), "53995c3f42cd8ad8");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(header(&context).as_deref(), Some(HEADER));
        assert_eq!(header(&SpanContext::empty_context()), None);
    }

    #[test]
    fn what_is_no_context_is_none() {
        for (text, expected) in [
            (
                "Self=1-a-b; Parent=53995c3f42cd8ad8; Sampled=1; Root=1-5759e988-bd862e3fe1be46a994272793",
                Some(true),
            ),
            (
                "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a:0",
                Some(false),
            ),
            ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8", Some(false)),
            ("Root=1-5759e988-bd862e3fe1be46a994272793", None),
            ("Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8", None),
            ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000", None),
            ("Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8", None),
            ("Root=1-5759e98-8bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8", None),
            ("Root=1-5759e988-bd862e3fe1be46a99427279é;Parent=53995c3f42cd8ad8", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(|context| context.is_sampled()), expected, "{text}");
        }
    }
}
