"""What the code may import, say and weigh."""
