"""Rules of TypeScript and JavaScript, one file each."""
