//! Which of AWS's errors are worth another try.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};

use crate::ports::{PortError, Saved};

/// What says that the request itself is at fault. Everything else passes by itself, or when somebody repairs the
/// deployment: a missing permission or table is no reason to set aside what will be wanted once it is there.
const PERMANENT_CODES: &[&str] = &[
    "BadRequestException",
    "InvalidAttributeValue",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "MissingParameter",
    "PayloadTooLargeException",
    "SerializationException",
    "ValidationException",
];
/// Content too large.
const TOO_LARGE: u16 = 413;

/// The port's error for a failed call of `operation`. Its text holds the service's error code and no message,
/// because messages may quote values.
pub(super) fn port_error<E: ProvideErrorMetadata>(
    operation: &'static str,
    error: &SdkError<E, HttpResponse>,
) -> PortError {
    match error {
        SdkError::ConstructionFailure(_) => {
            PortError::Permanent(format!("{operation}: the request is invalid"))
        }
        SdkError::TimeoutError(_) => PortError::Transient(format!("{operation}: timed out")),
        SdkError::DispatchFailure(_) => PortError::Transient(format!("{operation}: unreachable")),
        SdkError::ServiceError(context) => {
            classify(operation, context.raw().status().as_u16(), context.err().code())
        }
        _ => PortError::Transient(format!("{operation}: unreadable response")),
    }
}

/// What came of an `UpdateItem` that is done only on the version that was read.
pub(super) fn saved(
    outcome: Result<UpdateItemOutput, SdkError<UpdateItemError, HttpResponse>>,
) -> Result<Saved, PortError> {
    let lost_race = |error: &UpdateItemError| error.is_conditional_check_failed_exception();
    match outcome {
        Ok(_) => Ok(Saved::Yes),
        Err(error) if error.as_service_error().is_some_and(lost_race) => Ok(Saved::LostRace),
        Err(error) => Err(port_error("UpdateItem", &error)),
    }
}

/// The port's error for an item that this program cannot read.
pub(super) fn unreadable(what: &'static str) -> PortError {
    PortError::Permanent(format!("the stored {what} cannot be read"))
}

fn classify(operation: &str, status: u16, code: Option<&str>) -> PortError {
    let code = code.unwrap_or("unknown error");
    let text = format!("{operation}: {code} (status {status})");
    if status < 500 && (status == TOO_LARGE || PERMANENT_CODES.contains(&code)) {
        PortError::Permanent(text)
    } else {
        PortError::Transient(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_that_is_itself_at_fault_is_beyond_help() {
        for (status, code, transient) in [
            (400, Some("ProvisionedThroughputExceededException"), true),
            (400, Some("ThrottlingException"), true),
            (429, None, true),
            (500, Some("InternalServerError"), true),
            (503, None, true),
            (400, Some("ExpiredTokenException"), true),
            (400, Some("ResourceNotFoundException"), true),
            (403, Some("AccessDeniedException"), true),
            (404, None, true),
            (400, Some("ValidationException"), false),
            (400, Some("InvalidParameterValue"), false),
            (413, None, false),
        ] {
            let error = classify("GetItem", status, code);
            assert_eq!(matches!(error, PortError::Transient(_)), transient, "{status} {code:?}");
        }
    }
}
