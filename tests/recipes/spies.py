"""What a recipe hands to its gradient step."""


def spied_steps(monkeypatch, recipe):
    """The list of batches that the recipe's steps get, filled as it runs."""
    batches = []
    make = recipe.gradient_step

    def gradient_step(compute_loss, model, optimizer, **options):
        step = make(compute_loss, model, optimizer, **options)

        def spied(*batch):
            batches.append(batch)
            return step(*batch)

        spied.variables = step.variables
        return spied

    monkeypatch.setattr(recipe, "gradient_step", gradient_step)
    return batches
