"""What a lake is made of: where its tables lie, how they are written, and the values in them."""
