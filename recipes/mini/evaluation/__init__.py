"""What a model's music is worth, in figures: measures on sound alone, and the suite of them."""
