"""Verifies a webhook with the official library, as docs/webhooks.md shows it: the message as JSON on stdin, the event's type on stdout."""
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

message = json.load(sys.stdin)
try:
    event = Webhook(message["secret"]).verify(message["body"], message["headers"])
    print(event["type"])
except WebhookVerificationError as error:
    print(f"refused: {error}")
