//! The ports on DynamoDB, SQS and API Gateway.
