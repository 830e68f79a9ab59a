"""Models made from others in known ways: what `weightaudit diff` should say of them is written beside each."""
