"""The contract: values and protocols that callers, screens and wires share. Frozen, and every one can be serialised."""
