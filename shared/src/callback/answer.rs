//! What a provider is told.

/// One HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Value of `Content-Type`; no such header when empty.
    pub content_type: &'static str,
    /// The body, exactly.
    pub body: &'static str,
}

/// How a provider wants its callbacks answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The answer that stops the provider's retries.
    pub success: Answer,
    /// Content type of [`Answers::failure_body`]; no such header when empty.
    pub failure_content_type: &'static str,
    /// The body of every refusal; the status says which (400, 401, 404, 413, 503).
    pub failure_body: &'static str,
}

impl Answers {
    /// `200` with no body on success, a bare status on failure: what most providers accept.
    pub const EMPTY: Self = Self {
        success: Answer { status: 200, content_type: "", body: "" },
        failure_content_type: "",
        failure_body: "",
    };

    /// The refusal with this status.
    pub const fn failure(&self, status: u16) -> Answer {
        Answer { status, content_type: self.failure_content_type, body: self.failure_body }
    }
}
