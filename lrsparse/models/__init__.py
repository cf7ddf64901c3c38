"""One file a system: its data, its network, its closed forms. A model imports no other model."""
