"""Lets the data of a stage be deleted with its stack, and deletes its credentials."""

import argparse
import sys

import boto3
from botocore.exceptions import ClientError

TABLES = ["orders", "inbox", "connections", "accounts"]


def protected_tables(dynamodb, stage):
    for name in (f"paybell-{stage}-{table}" for table in TABLES):
        try:
            if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
                yield name
        except dynamodb.exceptions.ResourceNotFoundException:
            continue


def delete_credentials(stage):
    """Secrets Manager keeps them for another week, so that a mistake can be undone."""
    secrets = boto3.client("secretsmanager")
    prefix = f"paybell/{stage}/credentials/"
    pages = secrets.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
    for secret in (secret for page in pages for secret in page["SecretList"]):
        if secret["Name"].startswith(prefix):
            secrets.delete_secret(SecretId=secret["ARN"], RecoveryWindowInDays=7)
            print(f"  {secret['Name']} is deleted in 7 days")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage")
    parser.add_argument("--check", action="store_true", help="only fail if there is a protected table")
    options = parser.parse_args()
    dynamodb = boto3.client("dynamodb")
    tables = list(protected_tables(dynamodb, options.stage))
    if options.check:
        sys.exit("\n".join(f"protected: {table}" for table in tables) or 0)
    for table in tables:
        dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
        print(f"  {table} may be deleted")
    delete_credentials(options.stage)


if __name__ == "__main__":
    try:
        main()
    except ClientError as error:
        sys.exit(f"error: {error}")
