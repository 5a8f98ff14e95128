//! What the design wants of the template.

mod alarms;
mod apis;
pub mod functions;
pub mod policies;
mod queues;
mod tables;

#[cfg(test)]
mod tests;

use super::sources::Code;
use super::template::Template;

/// What is not as it should be, in words.
pub type Findings = Vec<String>;

/// Holds the template to the design and to the code.
pub fn findings(template: &Template, code: &Code) -> Findings {
    let mut findings = Findings::new();
    queues::check(template, &mut findings);
    policies::check(template, &mut findings);
    functions::check(template, code, &mut findings);
    tables::check(template, code, &mut findings);
    alarms::check(template, code, &mut findings);
    apis::check(template, &mut findings);
    findings
}
