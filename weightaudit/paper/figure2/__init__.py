"""Figure 2: inverse stable rank against weight decay."""
