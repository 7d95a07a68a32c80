"""The keys with which tests encrypt the secrets of subscriptions."""

from webhookd.store.secret_keys import SecretKeys

KEY = "dGVzdHMgZW5jcnlwdCB3aXRoIHRoaXMga2V5LCBvayE="
"""A Fernet key; 32 bytes that are no secret."""

OTHER_KEY = "dGVzdHMgcm90YXRlIHRvIHRoaXMgb3RoZXIga2V5LiE="
"""Another one, for rotations."""

SECRET_KEYS = SecretKeys([KEY])
"""What a test gives to `Database` when it stores subscriptions."""
