"""The model and the fit as a user meets them: training, answers, files, and the choice of a number of clusters."""
