"""TypeScript and JavaScript: from bytes to facts, from the facts of a project to who runs an agent for whom."""
