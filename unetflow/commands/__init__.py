"""What people type: `unetflow predict | score | split`."""
