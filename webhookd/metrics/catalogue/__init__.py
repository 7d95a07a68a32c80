"""Every metric of webhookd, by the part that it is about; `contents` has them all."""
