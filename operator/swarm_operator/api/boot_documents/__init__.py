"""The two languages that user data is written in, cloud-config and Ignition, as typed models. Pure; nothing here knows the operator's own rules (`api.user_data`)."""
