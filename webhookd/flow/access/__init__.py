"""Who calls the API: roles, tenants, and which tenant's rows a caller may see."""
