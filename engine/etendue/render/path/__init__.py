"""Path tracers: `drjit` (fast), `naive` (slow, readable, its oracle)."""
