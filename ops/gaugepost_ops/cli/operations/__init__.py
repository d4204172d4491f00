"""Commands about regions: status, holds, mappings, health, relocation."""
